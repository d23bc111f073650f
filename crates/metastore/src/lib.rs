//! Records of jobs, checkpoints, dataset versions and events, in sled or in memory.
