from collections.abc import Callable, Sequence

class CnnkitError(ValueError): ...

version: str

def call(
    arguments: list[str],
    models: dict[str, bytes],
    computed: tuple[list[tuple[list[int], bytes]], list[tuple[list[int], bytes, float]]] | None,
    width: int,
) -> tuple[str, str, str, bool, bool]: ...
def program(
    arguments: list[str],
    importer: Callable[[str, Sequence[tuple[str, Sequence[int]]], Sequence[tuple[str, str]]], bytes],
) -> int: ...
