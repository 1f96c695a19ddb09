"""The checker that jaxtyping's import hook puts on every function in tests: beartype, with int for float."""

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
