"""Pickles read as data, and what torch.save makes of them; nothing that they name is imported or called."""
