"""Several optimizers that act as one: each parameter group keeps the rule that suits it."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


class CombinedOptimizer(Optimizer):
    """One optimizer over the parameter groups of several.

    It is an ordinary `torch.optim.Optimizer`: schedulers, `zero_grad`, `state_dict` and `load_state_dict`
    work as for any other. The group dicts and the state are the members' own objects, not copies, so a rate
    set here is the rate that the member uses. The state dict has PyTorch's usual form, with the groups in the
    order of the members.

    Args:
        members: the optimizers, over parameters of which none appears twice.

    Raises:
        ValueError: there are none, or two of them share a parameter.
    """

    members: list[Optimizer]

    def __init__(self, members: Sequence[Optimizer]) -> None:
        groups = [group for member in members for group in member.param_groups]
        super().__init__(groups, defaults={})
        self.members = list(members)
        state: defaultdict[Tensor, Any] = defaultdict(dict)
        for member in members:
            state.update(member.state)
        self.state = state
        self._share()

    def _share(self) -> None:
        """Hand our state and group dicts to the members."""
        groups = iter(self.param_groups)
        for member in self.members:
            member.__setstate__({"state": self.state, "param_groups": [next(groups) for _ in member.param_groups]})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step of every member; `closure`, if given, is evaluated once, before the first."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for member in self.members:
            member.step()
        return loss

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Only for the construction: a later group must go to a member before the members are combined.

        Raises:
            TypeError: the optimizers are combined already.
        """
        if "members" in self.__dict__:
            raise TypeError("add the parameter group to the optimizer it belongs to, then combine them")
        super().add_param_group(param_group)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "members": self.members}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Also the last act of load_state_dict, which replaces our group dicts and state by new ones.
        super().__setstate__(state)
        self._share()
