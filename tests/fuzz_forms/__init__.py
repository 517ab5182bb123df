"""Plain forms whose files were changed, of which none may crash, hang or want memory."""
