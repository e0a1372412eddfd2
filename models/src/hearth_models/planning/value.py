"""The worth of stored energy at every step, by stochastic dynamic programming over a grid of charges.

In each step the net load turns out to be one of the scenarios; the battery then does the best it can (cover the net
load exactly, rest, or force one of a few powers), knowing it, as the controller in the home will. The value is the
mean over scenarios. A scenario lasts: the next step belongs to the same one with a probability, or is drawn anew.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hearth_models.arrays import Float32Array, FloatArray, IntArray
from hearth_models.battery import Battery

GRID_POINTS = 41
# Of a single course, whose directions others rely on.
_COURSE_POINTS = 81
# Forced powers tried; a long step needs more of them, because it lasts.
_FORCED_SHARES, _FORCED_SHARES_LONG = (0.5, 1.0), (0.25, 0.5, 1.0)
_LONG_H = 0.5
# What a kWh beyond the fuse or the export limit costs: dearer than any tariff, so it happens only when it must.
BEYOND_EUR_PER_KWH = 10.0
_DAY_S = 86_400
# The last day is lived again this often to learn what energy left at the end is worth.
_TERMINAL_ROUNDS = 2
# Chance per hour that the day goes on as the scenario it was: half of it is forgotten in about 3 h. On recorded homes
# 0.8 won a little more than 0.9 and 0.97; the longer a scenario lasts, the more the policy trusts knowing it.
PERSISTENCE_PER_HOUR = 0.8


@dataclass(frozen=True)
class Market:
    """Prices and limits of each step, arrays of shape (n_steps,)."""

    import_eur_per_kwh: FloatArray
    export_eur_per_kwh: FloatArray
    import_limit_w: float = np.inf
    export_limit_w: float = np.inf

    def cost_eur(self, grid_w: FloatArray, hours: FloatArray) -> FloatArray:
        """Return what each step costs; ``grid_w`` has the steps on its first axis, + = import [W]."""
        shape = (-1,) + (1,) * (grid_w.ndim - 1)
        bought = np.maximum(grid_w, 0.0)
        sold = bought - grid_w
        cost = bought * self.import_eur_per_kwh.reshape(shape)
        cost -= np.minimum(sold, self.export_limit_w) * self.export_eur_per_kwh.reshape(shape)
        if np.isfinite(self.import_limit_w):
            cost += np.maximum(bought - self.import_limit_w, 0.0) * BEYOND_EUR_PER_KWH
        cost *= hours.reshape(shape) / 1000
        return cost


@dataclass(frozen=True)
class ValueFunction:
    """``value_eur[t, k]`` is what ``stored_wh[k]`` is worth at the START of step t; row n_steps is the end."""

    stored_wh: FloatArray
    value_eur: FloatArray

    @property
    def end_eur_per_kwh(self) -> float:
        """Mean worth of a kWh left in the cells after the last step."""
        last = self.value_eur[-1]
        return float((last[-1] - last[0]) / (self.stored_wh[-1] - self.stored_wh[0])) * 1000


def solve(
    net_w: FloatArray,
    market: Market,
    battery: Battery,
    step_s: int,
    *,
    first_step_s: float | None = None,
    grid_points: int = GRID_POINTS,
    terminal_eur: FloatArray | None = None,
) -> ValueFunction:
    """Return the value function.

    Args:
        net_w: Net-load scenarios, shape (n_scenarios, n_steps) [W].
        market: Prices and limits.
        battery: Its physics.
        step_s: Length of a step [s].
        first_step_s: What is left of the first step [s]; all of it when None.
        grid_points: Points of the charge grid.
        terminal_eur: Worth of each grid point after the last step, shape (grid_points,). When None, the last day is
            lived again until the worth of energy at its end has settled, starting from the mean import price.

    Returns:
        The value function, its lowest charge worth 0 at the end (only differences matter).
    """
    n_steps = net_w.shape[1]
    grid = np.linspace(battery.min_wh, battery.max_wh, grid_points)
    hours = np.full(n_steps, step_s / 3600)
    if first_step_s is not None:
        hours[0] = first_step_s / 3600
    steps = _Steps.of(net_w, market, battery, hours, grid)
    keep = PERSISTENCE_PER_HOUR ** (step_s / 3600) if net_w.shape[0] > 1 else 0.0
    if terminal_eur is None:
        end = _first_guess(market, battery, grid)
        first_of_last_day = max(0, n_steps - _DAY_S // step_s)
        for _ in range(_TERMINAL_ROUNDS):
            end = steps.backward(end, first_of_last_day, n_steps, keep)[0].mean(axis=0)
            end = end - end[0]
    else:
        end = terminal_eur
    return ValueFunction(grid, steps.backward(end, 0, n_steps, keep).mean(axis=1))


def best_course(
    net_w: FloatArray,
    market: Market,
    battery: Battery,
    stored_wh: float,
    hours: FloatArray,
    end_eur_per_kwh: float,
    allowed_w: tuple[FloatArray, FloatArray],
) -> FloatArray:
    """Return the battery power that is best when the net load is known, shape (n_steps,), + = discharge [W].

    Unlike a linear programme it knows no trick that physics forbids, whatever the prices are.

    Args:
        net_w: Net load, shape (n_steps,) [W].
        market: Prices and limits.
        battery: Its physics.
        stored_wh: Energy in the cells now [Wh].
        hours: Length of each step [h].
        end_eur_per_kwh: Worth of a kWh left at the end.
        allowed_w: Lowest and highest power of each step, two arrays of shape (n_steps,) [W].
    """
    grid = np.linspace(battery.min_wh, battery.max_wh, _COURSE_POINTS)
    steps = _Steps.of(net_w[None], market, battery, hours, grid, allowed_w)
    values = steps.backward(end_eur_per_kwh * (grid - grid[0]) / 1000, 0, len(net_w), 0.0)[:, 0]
    best = steps.best_actions(values)
    shares = _FORCED_SHARES_LONG if hours[-1] > _LONG_H else _FORCED_SHARES
    actions_w = np.clip(_actions_w(net_w[:, None], battery, shares)[:, :, 0], *(end[:, None] for end in allowed_w))
    nearest = 1 / (grid[1] - grid[0])
    course = np.empty(len(net_w))
    for step, duration_s in enumerate((hours * 3600).tolist()):
        point = min(max(round((stored_wh - battery.min_wh) * nearest), 0), _COURSE_POINTS - 1)
        asked_w = float(actions_w[step, best[step, point]])
        stored_wh, course[step] = battery.run(stored_wh, asked_w, duration_s)
    return course


def _first_guess(market: Market, battery: Battery, grid: FloatArray) -> FloatArray:
    mean = float(np.mean(market.import_eur_per_kwh)) * battery.efficiency - battery.wear_eur_per_kwh
    guess: FloatArray = max(mean, 0.0) * (grid - grid[0]) / 1000
    return guess


@dataclass(frozen=True)
class _Steps:
    """What every action in every scenario, charge and step costs and where it leads, for the whole horizon at once.

    Arrays have the shape (n_steps, n_actions, n_scenarios, grid_points).
    """

    reward_eur: Float32Array
    left: IntArray
    share: Float32Array

    @classmethod
    def of(
        cls,
        net_w: FloatArray,
        market: Market,
        battery: Battery,
        hours: FloatArray,
        grid: FloatArray,
        allowed_w: tuple[FloatArray, FloatArray] | None = None,
    ) -> _Steps:
        shares = _FORCED_SHARES_LONG if hours[-1] > _LONG_H else _FORCED_SHARES
        power_w = np.clip(_actions_w(net_w.T, battery, shares), -battery.max_charge_w, battery.max_discharge_w)
        if allowed_w is not None:
            power_w = np.clip(power_w, *(end[:, None, None] for end in allowed_w))
        cell_w = battery.cell_power_w(power_w)
        own = battery.own_use_w
        span = hours[:, None]
        # the band: what the cells can give or take within the step from each charge
        most = np.maximum((grid - grid[0]) / span - own, 0.0)
        least = -np.maximum((grid[-1] - grid) / span + own, 0.0)
        most_ac, least_ac = battery.ac_power_w(most), battery.ac_power_w(least)
        # own use that the cells cannot give is drawn from the AC side; that happens at the lowest charges only
        spare_w = (grid - grid[0]) / span
        poor = int((spare_w.min(axis=0) < own).sum())
        # from here on the arrays are large and memory is what costs time: single precision, in place
        limited = np.clip(_small(cell_w)[..., None], _wide(least), _wide(most))
        delivered = np.clip(_small(power_w)[..., None], _wide(least_ac), _wide(most_ac))
        delivered[..., :poor] -= np.maximum(limited[..., :poor] + _small(own) - _wide(spare_w[:, :poor]), 0.0)
        drained = battery.wear_eur_per_kwh / 1000 * np.maximum(limited, 0.0) if battery.wear_eur_per_kwh else None
        reward = _money(np.subtract(_small(net_w.T)[:, None, :, None], delivered, out=delivered), market, hours)
        if drained is not None:
            reward -= drained * _small(hours)[:, None, None, None]
        limited += _small(own)
        limited *= _small(-hours / (grid[1] - grid[0]))[:, None, None, None]
        limited += np.arange(len(grid), dtype=np.float32)
        position = np.maximum(limited, 0.0, out=limited)
        left = np.minimum(position.astype(np.intp), len(grid) - 2)
        return cls(reward, left, position - left.astype(np.float32))

    def backward(self, end: FloatArray, first: int, n_steps: int, keep: float) -> FloatArray:
        """Return the values at the start of each step of ``[first, n_steps)`` and at the end, by scenario.

        The shape is (n_steps - first + 1, n_scenarios, grid_points).
        """
        n_scenarios = self.reward_eur.shape[2]
        values = np.empty((n_steps - first + 1, n_scenarios, len(end)))
        values[-1] = end
        rows = np.arange(n_scenarios)[:, None] * len(end)
        for step in range(n_steps - 1, first - 1, -1):
            # where the day goes on as it was, its own future counts; otherwise the mean of all
            own = values[step - first + 1]
            future = keep * own + (1 - keep) * own.mean(axis=0)
            flat = future.ravel()
            rise = np.diff(flat, append=0.0)
            index = self.left[step] + rows
            here = flat.take(index)
            here += self.share[step] * rise.take(index)
            here += self.reward_eur[step]
            here.max(axis=0, out=values[step - first])
        return values

    def best_actions(self, values: FloatArray) -> IntArray:
        """Return the best action of the only scenario at each charge, shape (n_steps, grid_points).

        Args:
            values: Worth of each charge at the start of each step and at the end, shape (n_steps + 1, grid_points).
        """
        left, share, future = self.left[:, :, 0], self.share[:, :, 0], values[1:, None, :]
        low, high = (np.take_along_axis(future, index, axis=2) for index in (left, left + 1))
        best: IntArray = (low + share * (high - low) + self.reward_eur[:, :, 0]).argmax(axis=1)
        return best


def _small(values: FloatArray | float) -> Float32Array:
    return np.asarray(values, dtype=np.float32)


def _wide(by_step_and_charge: FloatArray) -> Float32Array:
    """Bring (n_steps, grid_points) to (n_steps, 1, 1, grid_points)."""
    return _small(by_step_and_charge)[:, None, None, :]


def _money(grid_w: Float32Array, market: Market, hours: FloatArray) -> Float32Array:
    """Return minus the cost of each step, overwriting the grid power; see `Market.cost_eur`."""

    def price(eur_per_kwh: FloatArray) -> Float32Array:
        return _small(eur_per_kwh * hours / -1000)[:, None, None, None]

    bought = np.maximum(grid_w, 0.0)
    sold = np.subtract(grid_w, bought, out=grid_w)
    beyond = None
    if np.isfinite(market.import_limit_w) and bought.max() > market.import_limit_w:
        beyond = np.maximum(bought - _small(market.import_limit_w), 0.0)
    np.maximum(sold, _small(-market.export_limit_w), out=sold)
    sold *= price(market.export_eur_per_kwh)
    bought *= price(market.import_eur_per_kwh)
    sold += bought
    if beyond is not None:
        sold += beyond * price(np.full(len(hours), BEYOND_EUR_PER_KWH))
    return sold


def _actions_w(net_w: FloatArray, battery: Battery, shares: tuple[float, ...]) -> FloatArray:
    """Return the powers worth trying for each net load, shape (n_steps, n_actions, n_scenarios) [W].

    Money has its kinks where the grid power crosses zero and where the battery rests; beyond these only forced powers
    can be better. A forced power is what the device really does in that mode, so it also follows the net load.
    """
    forced_in = [np.minimum(net_w, -battery.max_charge_w * share) for share in shares]
    forced_out = [np.maximum(net_w, battery.max_discharge_w * share) for share in shares]
    return np.stack([net_w, np.zeros_like(net_w), *forced_in, *forced_out], axis=1)
