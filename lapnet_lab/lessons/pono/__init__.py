"""02_pono: whom PONO finds, and what that costs."""
