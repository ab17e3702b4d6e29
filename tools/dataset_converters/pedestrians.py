"""Draw the demo data set: arguments, then one call."""

from mmgradsplit.apis.command_line import draw_by_command
from mmgradsplit.synthetic.pedestrians import make_pedestrians

if __name__ == '__main__':
    draw_by_command(
        make_pedestrians,
        'pedestrians in the formats of PA-100K, Market-1501, MPII and LIP',
        'data/pedestrians',
    )
