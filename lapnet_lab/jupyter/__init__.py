"""Configuration of Jupyter's server, which finds it by the folder; nobody imports it."""
