"""Boosters with one value changed, of which none may crash or hang whoever asks them."""
