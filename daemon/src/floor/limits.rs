//! Every bound of the daemon that is not configuration, each with its reason.

use std::time::Duration;

/// Claimed files waiting for a header: at 16 kB of path and bookkeeping each still nothing, and enough that a burst of
/// one slice stack does not stall the directory scan.
pub(crate) const CLAIMS: usize = 256;

/// Completed series waiting for the scan worker. They wait on disk; the queue only holds their names.
pub(crate) const SERIES: usize = 16;

/// Complete series whose names wait in memory for their turn to be read, so that an urgent one is seen behind others: half a
/// kilobyte each. Beyond that they wait on disk alone.
pub(crate) const WAITING: usize = 1024;

/// Volumes between reading and inference: none. One is in work and one is read meanwhile and waits with its reader, so that an
/// urgent one can still go before it. 512 x 512 x 600 voxels are 0.3 GB each.
pub(crate) const SCANS: usize = 0;

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

/// Failed attempts after which a series ends: one may be bad luck (a driver, a bit, a neighbour that ate the memory), two of
/// the same series are its own doing.
pub(crate) const ATTEMPTS: u32 = 2;

/// Attempts that were cut short because the daemon died, without the machine, after which a series ends. Whoever restarts the
/// daemon again and again must not lose a good series by that; a series that kills the daemon must not do so for ever.
pub(crate) const INTERRUPTIONS: u32 = 10;

/// From so many interruptions on a series is read after all others: it may be the reason for them.
pub(crate) const SUSPECT: u32 = 2;

/// Longest time for which a series that had a setback waits for others to be read first.
pub(crate) const LATER: Duration = Duration::from_mins(10);

/// Time for a killed worker to be gone. The kernel needs milliseconds, and seconds to give back gigabytes; what takes longer
/// hangs in a driver.
pub(crate) const REAPING: Duration = Duration::from_secs(10);

/// Share of `infer.run_s` for a worker to end a run when it is asked to: ONNX Runtime looks between two nodes of the graph.
pub(crate) const ASKING: f64 = 0.1;

/// Hung runs of one execution provider within [`WEDGE_WINDOW`] after which it counts as bad. One series causes two at most.
pub(crate) const WEDGES: usize = 3;

/// Runs of one execution provider within [`WEDGE_WINDOW`] that took more memory than there is, after which the next one runs the model.
pub(crate) const STARVED: usize = 2;

/// See [`WEDGES`].
pub(crate) const WEDGE_WINDOW: Duration = Duration::from_hours(1);

/// Time for which a provider counts as bad, unless the machine is restarted before.
pub(crate) const MARK: Duration = Duration::from_hours(24);

/// Restarts of the machine within [`REBOOT_WINDOW`]: what two do not cure needs a person.
pub(crate) const REBOOTS: usize = 2;

/// See [`REBOOTS`].
pub(crate) const REBOOT_WINDOW: Duration = Duration::from_hours(24);

/// Time in safe mode after which one run is tried.
pub(crate) const SAFE_REST: Duration = Duration::from_hours(1);

/// Bytes of a command's request. A request is a few hundred; this is room for a list of outcomes and a long reason.
pub(crate) const REQUEST_BYTES: usize = 8 << 10;

/// Bytes of the topic on which a sender wants to be answered.
pub(crate) const REPLY_TOPIC_BYTES: usize = 256;

/// Levels of that topic. Brokers close the connection of whoever sends on a topic of too many, Mosquitto at 200.
pub(crate) const REPLY_TOPIC_LEVELS: usize = 32;

/// Bytes that a sender has given back with every answer.
pub(crate) const CORRELATION_BYTES: usize = 256;

/// Connections on which one answer is tried. Each ended before the broker took it, perhaps because of it.
pub(crate) const ANSWER_TRIES: u32 = 8;

/// Commands of one kind that wait their turn. Each is an operator's decision: more than these at a time are a mistake.
pub(crate) const COMMANDS_WAITING: u64 = 16;

/// Commands that the journal remembers. Their states are sent again at every connect, half a kilobyte each.
pub(crate) const COMMANDS_KEPT: u64 = 512;

/// Series of one `reprocess`. More are days of work for the device; whoever means it names shorter times.
pub(crate) const SERIES_AGAIN: usize = 1000;

/// Results of a replay that lie in the outbox at a time, so that new ones never wait behind thousands.
pub(crate) const REPLAY_PAGE: u32 = 32;
