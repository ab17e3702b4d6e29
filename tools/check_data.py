"""The command ``mmgradsplit check`` as a script."""

from mmgradsplit.cli import run_command

if __name__ == '__main__':
    run_command('check')
