//! Every bound of the daemon that is not configuration, each with its reason.

/// Claimed files waiting for a header: at 16 kB of path and bookkeeping each still nothing, and enough that a burst of
/// one slice stack does not stall the directory scan.
pub(crate) const CLAIMS: usize = 256;

/// Completed series waiting for the scan worker. They wait on disk; the queue only holds their names.
pub(crate) const SERIES: usize = 16;

/// Volumes waiting for inference: one in work, one waiting. 512 x 512 x 600 voxels are 0.3 GB each.
pub(crate) const SCANS: usize = 1;

/// Bytes of one message between supervisor and worker. A scan's facts or 18 scores are a few kB; a worker that sends
/// more is broken or hostile.
pub(crate) const WORKER_MESSAGE_BYTES: usize = 64 << 10;

/// Address space of the worker that receives by network: at most a hundred callers with half a megabyte of stack and a
/// message of one each, beside the program itself. Data sets never lie in memory.
pub(crate) const RECEIVER_BYTES: u64 = 512 << 20;

/// `QoS` 1 messages in flight. Far below the broker's receive maximum, so that packet ids never collide.
pub(crate) const IN_FLIGHT: u16 = 8;

/// Bytes of one MQTT message. A result is about 2 kB, its budget 8 kB; some brokers refuse more than 64 kB.
pub(crate) const MESSAGE_BYTES: usize = 64 << 10;

/// Watchers that are answered at a time. They ask the main thread one after the other; more than these gain nothing.
pub(crate) const WATCHERS: usize = 16;
