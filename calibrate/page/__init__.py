"""What a page is made of, whatever its format: sections, tables, and how numbers read. No torch here."""
