"""mmengine's runner, which says of an error which key of the config it comes from."""

from collections.abc import Callable
from typing import Any

from mmengine.optim import OptimWrapperDict
from mmengine.runner import Runner
from torch import nn

from mmgradsplit.utils import ConfigError, at_key

from .plain_dicts import check_plain_dicts

# The methods of mmengine's runner that make something of a part of the config, and its key.
PARTS = dict(
    setup_env='env_cfg',
    set_randomness='randomness',
    build_log_processor='log_processor',
    build_logger='log_level',
    build_visualizer='visualizer',
    build_model='model',
    wrap_model='model_wrapper_cfg',
    register_default_hooks='default_hooks',
    register_custom_hooks='custom_hooks',
    build_optim_wrapper='optim_wrapper',
    scale_lr='auto_scale_lr',
    build_param_scheduler='param_scheduler',
    build_train_loop='train_cfg',
    build_val_loop='val_cfg',
    build_test_loop='test_cfg',
    _init_model_weights='model',
)


class KeyedRunner(Runner):
    """mmengine's runner, whose errors name the key of the part that they come from.

    What needs no data is built first: a wrong key is found before a data folder is looked for.
    """

    def train(self) -> nn.Module:
        """Train; the optimizer wrapper is built before any data set."""
        self.optim_wrapper: Any
        if isinstance(self.optim_wrapper, dict):
            self.optim_wrapper = self.build_optim_wrapper(self.optim_wrapper)
        return super().train()

    def build_model(self, model: nn.Module | dict) -> nn.Module:
        """Build the network, and find keys that nothing in it reads, and layers of nothing."""
        built = _super(self, 'build_model')(model)
        for name, param in built.named_parameters():
            if not param.numel():
                raise ConfigError(f'model.{name} is empty: a number of channels or classes is 0')
        check_plain_dicts(built, self.cfg.get('model'))
        return built

    def scale_lr(self, optim_wrapper: Any, auto_scale_lr: dict | None = None) -> None:
        """Scale the learning rates to the batch size, as mmengine does, where tasks have their own.

        Raises:
            ConfigError: If the tasks of one optimizer have batches of different sizes.
        """
        loaders = self.cfg.get('train_dataloader') or {}
        if not (auto_scale_lr or {}).get('enable') or 'batch_size' in loaders:
            _super(self, 'scale_lr')(optim_wrapper, auto_scale_lr)
            return
        base = (auto_scale_lr or {}).get('base_batch_size')
        if not isinstance(base, int) or base < 1:
            raise ConfigError(f'auto_scale_lr.base_batch_size must be at least 1, got {base}')
        sizes = {task: loader['batch_size'] * self.world_size for task, loader in loaders.items()}
        several = isinstance(optim_wrapper, OptimWrapperDict) and {*optim_wrapper.keys()} == {
            *sizes
        }
        if not several and len({*sizes.values()}) > 1:
            raise ConfigError(
                f'auto_scale_lr: all tasks share one learning rate, but their batches differ: '
                f'{sizes}; give the tasks batches of one size or optimizers of their own, or set '
                f'optim_wrapper.optimizer.lr yourself and auto_scale_lr.enable=False'
            )
        wrappers = dict(optim_wrapper.items()) if several else dict.fromkeys(sizes, optim_wrapper)
        for task, wrapper in wrappers.items() if several else list(wrappers.items())[:1]:
            ratio = sizes[task] / base
            self.logger.info(
                f'LR of {task if several else "all tasks"} scaled by {ratio:g}: batches of '
                f'{sizes[task]}, auto_scale_lr.base_batch_size={base}.'
            )
            inner = wrapper.values() if isinstance(wrapper, OptimWrapperDict) else [wrapper]
            for each in inner:
                for group in each.optimizer.param_groups:
                    group['lr'] *= ratio


def _super(runner: Runner, name: str) -> Callable:
    return getattr(super(KeyedRunner, runner), name)


def _keyed(name: str, key: str) -> Callable:
    made = vars(KeyedRunner).get(name) or getattr(Runner, name)

    def method(self: KeyedRunner, *args: Any, **kwargs: Any) -> Any:
        with at_key(key, self.cfg.get(key)):
            return made(self, *args, **kwargs)

    method.__name__, method.__doc__ = name, made.__doc__
    return method


for _name, _key in PARTS.items():
    setattr(KeyedRunner, _name, _keyed(_name, _key))
