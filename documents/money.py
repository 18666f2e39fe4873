"""How is an amount written? In whole yen, with commas (CERT-8)."""


def yen(amount: int) -> str:
    """20,000,000円, as in lists."""
    return f"{amount:,}円"


def yen_spaced(amount: int) -> str:
    """20,000,000 円, as in details and on certificates."""
    return f"{amount:,} 円"
