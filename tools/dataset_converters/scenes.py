"""Draw the indoor scenes: arguments, then one call."""

from mmgradsplit.apis.command_line import draw_by_command
from mmgradsplit.synthetic.scenes import make_scenes

if __name__ == '__main__':
    draw_by_command(
        make_scenes,
        'rooms with segmentation, depth and surface normals, as NYUv2 has them',
        'data/scenes',
    )
