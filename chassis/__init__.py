"""What each service bolts on. No business word appears here."""
