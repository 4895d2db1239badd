"""The edges: Ray Train lanes, Ray Tune with Optuna, MLflow. Nothing outside this folder but raylab.app imports them."""
