"""How each kind of step is carried out, one file a kind; ``table`` says which is which."""
