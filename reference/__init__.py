"""Which purchasers and sureties are there, and what holds for them from which day."""
