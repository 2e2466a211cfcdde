"""The child: one attempt at a job, in a process that can do little harm. Only here is torch imported."""
