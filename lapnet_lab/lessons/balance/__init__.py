"""04_balance: the learned weights."""
