"""How many bytes of tensors are there at one time: a count that no allocator blurs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_RESOLVED = 1.001
"""By how much the sum has to be larger than the most so far for it to be worth looking which tensors are gone."""


class LiveBytes(TorchDispatchMode):
    """A context manager; `most` is the largest sum, over all operations within, of the tensors that they made.

    It is told to a thousandth: a recurrence of single steps makes thousands of tensors, and looking through all of
    them at every operation takes minutes. Tensors that were there before count from the first operation that takes
    them. What a kernel holds for itself alone does not count.
    """

    def __init__(self) -> None:
        super().__init__()
        self.most = 0
        self._sizes: dict[StorageWeakRef, int] = {}
        self._sum = 0

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run the operation and count what is there after it."""
        outputs = func(*args, **(kwargs or {}))
        for leaf in tree_leaves((args, kwargs, outputs)):
            if isinstance(leaf, Tensor):
                storage = leaf.untyped_storage()
                held, size = StorageWeakRef(storage), storage.nbytes()
                self._sum += size - self._sizes.get(held, 0)
                self._sizes[held] = size
        if self._sum > _RESOLVED * self.most:
            self._sizes = {held: size for held, size in self._sizes.items() if not held.expired()}
            self._sum = sum(self._sizes.values())
            self.most = max(self.most, self._sum)
        return outputs
