"""Become another program that dies with the one that started it.

Run as `python -I -S tether.py PARENT SIGNAL USER FOLDER COMMAND...`: change to USER ("-" keeps the caller) and FOLDER,
ask the kernel for SIGNAL when PARENT dies, then replace this process by COMMAND. A small program instead of a
`preexec_fn`, because code between fork and exec may deadlock in a process that has threads. Elsewhere than on Linux the
child may outlive its parent; the next start finds it by pid and start time.
"""

import ctypes
import os
import pwd
import sys

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    parent, death_signal, user, folder, *command = arguments
    if user != "-":
        account = pwd.getpwnam(user)
        os.setgroups([])
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)
    os.chdir(folder)
    if sys.platform == "linux":
        # After setuid: a change of user would clear it again.
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != int(parent):
            sys.exit(f"{command[0]}: the process that asked for it is gone")
    try:
        os.execvp(command[0], command)  # noqa: S606 - replacing this process is the purpose
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
