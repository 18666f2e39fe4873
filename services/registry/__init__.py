"""The registry (登録): where certificates arrive, and where purchasers see them."""
