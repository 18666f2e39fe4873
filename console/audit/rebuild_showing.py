"""How does a person see a rebuild? (The bars are those of a replay.)"""

import base64
import sys

from console.audit.rebuild import Rebuilt
from console.audit.replay import NOT_REPLAYED


def tell(done: Rebuilt) -> None:
    """Why not, or what is different now, one a line on standard output; the rest on standard error."""
    for difference in done.refusals or done.differences:
        print(difference)
    print(summary(done), file=sys.stderr)


def summary(done: Rebuilt) -> str:
    unreadable = ", ".join(f"{count} {reason}" for reason, count in sorted(done.unreadable.items())) or "none"
    lines = [
        f"Rebuilt: {done.certificates} certificates (電子証書), {done.views} views (照会), {done.size} leaves.",
        f"Root of the log (透明性ログ): {base64.b64encode(done.root).decode()}.",
        f"Signed roots that it has: {done.checkpoints}.",
        f"Unreadable on the topics: {unreadable}. Left as they are: {NOT_REPLAYED}.",
    ]
    if done.unregistered:
        lines.append(f"Issued, and not told to be registered: {done.unregistered} certificates.")
    if done.taken_over:
        lines.append(f"Leaves whose salt no event tells, carried over from the registry: {done.taken_over}.")
    if done.erased:
        lines.append(f"Salts that were erased and stay so: {done.erased}.")
    if done.accounts:
        lines.append(
            f"Accounts that views name and that were lost, added without a name and disabled: {done.accounts}."
        )
    if done.closed:
        lines.append(f"Certificates closed in browsers, for no event tells of the look: {done.closed}.")
    if done.untold:
        lines.append(f"Rows that no event tells, which are not in the registry any more: {done.untold}.")
    lines += [f"The tables as they were before are kept in the schema {name}." for name in done.kept]
    return "\n".join([*lines, _verdict(done)])


def _verdict(done: Rebuilt) -> str:
    if done.refusals:
        return f"Refused for {len(done.refusals)} reasons: the registry was not touched."
    differ = f"{len(done.differences)} places differ" if done.differences else "Nothing differs"
    if not done.swapped:
        return f"{differ}. A rebuild would be swapped in; nothing was changed."
    return (
        f"{differ} from before. Swapped in: whoever looked something up waited {done.waited_seconds * 1000:.0f} ms at "
        f"most for it ({done.attempts} attempts); {done.seconds:.1f} s in all."
    )
