"""Every detector that can be trained, by name. A new one is a file in this folder, and a line here.

Nothing is imported before it is asked for, so that the names can be listed at no cost.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lapnet_core.method import Method

METHODS = {
    "lapnet": "lapnet_core.method:LapNetMethod",
    "yolov3": "lapnet_core.peers.yolov3:YOLOv3Method",
    "retinanet": "lapnet_core.peers.torchvision:RetinaNetMethod",
    "fcos": "lapnet_core.peers.torchvision:FCOSMethod",
    "ssd": "lapnet_core.peers.torchvision:SSDMethod",
    "faster_rcnn": "lapnet_core.peers.torchvision:FasterRCNNMethod",
}


def method_class(name: str) -> "type[Method]":
    """The class behind a name of `METHODS`.

    Raises:
        ValueError: there is no such name; or the class has another, under which what it saves would be looked for.
    """
    if name not in METHODS:
        raise ValueError(f'no method is called "{name}"; there are {", ".join(METHODS)}')
    module, attribute = METHODS[name].split(":")
    kind = getattr(import_module(module), attribute)
    if kind.name != name:
        raise ValueError(
            f'METHODS has {attribute} as "{name}", but its own `name` is "{kind.name}": make them the same'
        )
    return kind
