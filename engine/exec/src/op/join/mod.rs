//! Joins: what their kinds share. Metadata of rows that are kept (`marks`), and the columns of pairs (`output`).
//!
//! A joined row is the left row's record: its source, partition and offset, the later event time, the lower of the two
//! watermarks that their own partitions had. Of a stream with a table the stream's row gives all of it. So rows that
//! leave are a function of the two rows alone, and are cut into batches by the partition they stem from.

pub mod marks;
pub mod output;
