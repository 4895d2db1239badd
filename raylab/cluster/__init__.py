"""The edges: Ray Train lanes, Ray Tune, Optuna, MLflow. Nothing outside this folder but raylab.app imports them."""

import os

# Read by Ray, Tune and MLflow when they are imported. Start-up must not wait for a network that is not there, nothing
# is sent to anybody, and the ledger, not Tune's own files, is what a search is resumed from.
for _name, _value in {
    "RAY_USAGE_STATS_ENABLED": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "RAY_AUTH_MODE": "disabled",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "600",
    # Ray would put workers behind its own processes, and one that waits holds up its lane; `nice raylab` holds for all of them
    "RAY_worker_niceness": "0",
    "RAY_prestart_worker_first_driver": "0",  # processes that nobody would use
    "RAY_worker_maximum_startup_concurrency": "16",  # as many as cores is few: on a small machine Ray warns of it
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # one a lane, on any node, which would never be idle then
    "REPORTER_UPDATE_INTERVAL_MS": "3600000",  # of a Ray on this machine, which has no dashboard to show what every process uses
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}.items():
    os.environ.setdefault(_name, _value)
