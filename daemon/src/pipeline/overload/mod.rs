//! What happens when the device has too little of something: room on its disks, memory, or coolness. It slows down or waits,
//! says so, and loses nothing.

mod disk;
mod heat;
mod memory;
mod retention;

pub(super) use heat::Heat;
pub(super) use memory::Shortage;
pub(super) use retention::Deleted;
