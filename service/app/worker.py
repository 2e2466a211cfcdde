"""``afternorm worker``: run a worker, for a server that was started without one."""

from service.app.options import CpuSlots, DataDir, GpuSlots, require_server


def worker(data_dir: DataDir = None, cpu_slots: CpuSlots = None, gpu_slots: GpuSlots = None) -> None:
    """Run jobs until stopped; after SIGTERM, running jobs have a while to finish."""
    require_server()

    from service.settings import Settings
    from service.worker.process import main

    main(Settings.from_environment(data_dir=data_dir, cpu_slots=cpu_slots, gpu_slots=gpu_slots))
