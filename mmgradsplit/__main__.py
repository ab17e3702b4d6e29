"""``python -m mmgradsplit``: the console command, for launchers that want a module."""

from mmgradsplit.cli import main

if __name__ == '__main__':
    main()
