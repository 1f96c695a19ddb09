"""Jupyter's server reads this where JUPYTER_CONFIG_PATH names its folder, beside one's own configuration."""

import runpy
from pathlib import Path

saving = runpy.run_path(str(Path(__file__).resolve().parents[1] / "saving.py"))
get_config().FileContentsManager.pre_save_hook = saving["with_stand_ins"]  # pyright: ignore[reportUndefinedVariable]
# "Save and export as HTML": pictures keep their words.
get_config().HTMLExporter.template_name = "lapnet"  # pyright: ignore[reportUndefinedVariable]
get_config().TemplateExporter.extra_template_basedirs = [str(Path(__file__).with_name("templates"))]  # pyright: ignore[reportUndefinedVariable]
