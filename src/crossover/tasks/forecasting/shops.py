"""A panel by rule: daily sales of shops, with promotions and prices planned ahead and visitors counted.

A shop of a kind sells on a day

    level x week[kind][weekday] x visitors x lift[kind] (in a promotion) x (price / 10) ** elasticity

with some noise. Promotions and prices are known for the days ahead, visitors only up to now. On a Saturday a city
shop of level 100 that counts as many visitors as usual (1.0) sells 100 x 1.5 = 150, in a promotion that raises sales
by 60 % 240, and at a price of 12 instead of 10 rather fewer: 240 x 1.2 ** -2 = 166.67.
"""

from __future__ import annotations

import numpy as np

from crossover.data.panel import Panel, Roles, Series

WEEK = {
    "city": (1.0, 0.9, 0.9, 1.0, 1.2, 1.5, 0.5),
    "mall": (0.7, 0.7, 0.8, 0.9, 1.1, 1.6, 1.2),
    "station": (1.2, 1.2, 1.2, 1.2, 1.3, 0.6, 0.3),
}
"""How sales of a kind of shop go with the day of the week, from Monday."""
LIFT = {"city": 1.6, "mall": 1.9, "station": 1.2}
"""What a promotion multiplies sales by."""
ELASTICITY = -2.0

SHOPS = 12
DAYS = 540
_FIRST = np.datetime64("2022-01-01")
PLANNED = 28
"""Days beyond the last for which promotions and prices are known."""
_LATEST_OPENING = 240
_NOISE = 0.05


def sales(
    level: float, kind: str, weekday_T: np.ndarray, promo_T: np.ndarray, price_T: np.ndarray, visitors_T: np.ndarray
) -> np.ndarray:
    """What a shop sells on each day, without noise; days of the week count from Monday, 0."""
    week_T = np.array(WEEK[kind])[weekday_T]
    return level * week_T * visitors_T * np.where(promo_T > 0, LIFT[kind], 1.0) * (price_T / 10) ** ELASTICITY


def shops(seed: int = 0) -> Panel:
    """The shops, opened on different days; the last but one closed before the others."""
    kinds = list(WEEK)
    series = []
    for shop in range(SHOPS):
        rng = np.random.default_rng((seed, shop))
        opened = 0 if shop < SHOPS // 2 else int(rng.integers(_LATEST_OPENING))
        closed = DAYS - 60 if shop == SHOPS - 2 else DAYS
        series.append(_shop(f"shop{shop + 1:02d}", kinds[shop % len(kinds)], np.arange(opened, closed), rng))
    roles = Roles(
        targets=("sales",), time="day", id="shop", past=("visitors",), future=("promo", "price"), static=("kind",)
    )
    note = f"{SHOPS} shops by rule, {min(map(len, series))} to {max(map(len, series))} days each."
    return Panel(series=tuple(series), roles=roles, notes=(note,))


def _shop(name: str, kind: str, days_T: np.ndarray, rng: np.random.Generator) -> Series:
    count, planned = len(days_T), len(days_T) + PLANNED
    promo_L = np.repeat(rng.random(planned // 3 + 1) < 0.15, 3)[:planned].astype(float)
    price_L = np.repeat(10 + rng.integers(-1, 3, planned // 30 + 1), 30)[:planned].astype(float)
    visitors_T = np.exp(_wandering(count, 0.9, 0.08, rng))
    dates_L = _FIRST + days_T[0] + np.arange(planned)
    weekday_T = (dates_L[:count].astype(int) + 3) % 7
    sold_T = sales(20 + 80 * rng.random(), kind, weekday_T, promo_L[:count], price_L[:count], visitors_T)
    sold_T = sold_T * np.exp(_NOISE * rng.normal(size=count))
    return Series(
        id=name,
        values_TC=sold_T[:, None],
        past_TK=visitors_T[:, None],
        future_LK=np.stack([promo_L, price_L], axis=1),
        static=(kind,),
        seconds_L=dates_L.astype("datetime64[s]").astype(float),
        timestamps=[str(date) for date in dates_L],
    )


def _wandering(count: int, stays: float, step: float, rng: np.random.Generator) -> np.ndarray:
    """x_t = stays x_{t-1} + step e_t, from 0."""
    values = np.empty(count)
    value = 0.0
    for day, push in enumerate(step * rng.normal(size=count)):
        value = stays * value + push
        values[day] = value
    return values
