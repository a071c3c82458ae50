"""What happens to lone neurons within a step: an overlap goes through a level, a coordinate is released."""

from odesim._jit import kernel
from odesim._packs import WIDTH, choose, count, filled, load, rarely, store
from odesim.sgd._alone_state import EVENT, RADII
from odesim.sgd._full import DIVERGED, LARGEST, NOT_FINITE


@kernel(inline="always", counted=False)
def flag(where, work):
    """Show a mask to scalar code."""
    store(work.flag, (0,), choose(where, filled(1.0), filled(0.0)))


@kernel(inline="always", counted=False)
def notice(plan, lanes, p, work):
    """Write down what happened in step p of the block, before the lanes take their new state; return if any ended."""
    ended = 0
    alive = load(lanes.alive, (0,)) > 0.5
    for e in range(plan.coordinate.size):
        i, level = plan.coordinate[e], load(lanes.level, (WIDTH * e,))
        before, after = load(lanes.m, (WIDTH * i,)), load(work.m, (WIDTH * i,))
        happens = (before < level) & (level <= after) & alive
        if not plan.upward[e]:
            happens = (level < before) & (after <= level) & alive
        if rarely(count(happens) > 0):
            flag(happens, work)
            write_event(plan, lanes, e, p, work)
            ended += plan.terminal[e]
    if plan.geometry == RADII:
        for i in range(work.m.size // WIDTH):
            gone = (load(work.stays, (WIDTH * i,)) < load(lanes.kept, (WIDTH * i,))) & alive
            if rarely(count(gone) > 0):
                flag(gone, work)
                for lane in range(lanes.status.size):
                    if work.flag[lane] > 0.5:
                        lanes.released[i, lane] = lanes.base[lane] + p + 1
    return ended


@kernel(counted=False)
def write_event(plan, lanes, e, p, work):
    """Write the step of event e into the lanes that are flagged; one that is terminal ends them with this step."""
    for lane in range(lanes.status.size):
        if work.flag[lane] > 0.5:
            if lanes.when[e, lane] < 0:
                lanes.when[e, lane] = lanes.base[lane] + p + 1
            if plan.terminal[e]:
                lanes.status[lane] = EVENT
                lanes.ended[lane] = lanes.base[lane] + p + 1


@kernel(counted=False)
def retire(lanes):
    """No longer move the lanes that a terminal event has ended."""
    for lane in range(lanes.status.size):
        if lanes.status[lane] == EVENT:
            lanes.alive[lane] = 0.0


@kernel(counted=False)
def end_unbounded(lanes, p, size, work):
    """End the lanes alive whose forward pass, of this size where it is out of bounds and else 0, is: before step p."""
    store(work.flag, (0,), size)
    for lane in range(lanes.status.size):
        value = work.flag[lane]
        if lanes.alive[lane] > 0.5 and value != 0.0:
            lanes.alive[lane] = 0.0
            lanes.status[lane] = DIVERGED if value <= LARGEST else NOT_FINITE
            lanes.ended[lane] = lanes.base[lane] + p
