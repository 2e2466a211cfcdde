"""How it reads: text and one self-contained HTML file. No torch here."""
