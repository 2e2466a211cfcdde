"""How it reads: text, markdown and one self-contained HTML file.

No torch here; jinja2 and matplotlib only once HTML is made.
"""

from calibrate.report.compared import Compared
from calibrate.report.compared_arms import compared_arms_page
from calibrate.report.comparison import BatchComparison
from calibrate.report.fine_tuned import fine_tuned_page
from calibrate.report.page import Page
from calibrate.report.run import render_brief, render_html, render_markdown, render_text, run_page

__all__ = [
    "BatchComparison",
    "Compared",
    "Page",
    "compared_arms_page",
    "fine_tuned_page",
    "render_brief",
    "render_html",
    "render_markdown",
    "render_text",
    "run_page",
]
