//! Where records end in a file, without decoding them: enough to cut samples and to leave out headers.
//!
//! A quote anywhere in a CSV record counts, so a stray quote in an unquoted field hides line feeds; the decoder, which
//! knows better, sees all bytes of ordinary files and only samples and headers are cut here.

use velostream_sql::plan::Format;

/// Finds the ends of records: line feeds, of CSV those outside quotes. Blank lines are no records.
pub struct RecordEnds {
    quote: Option<u8>,
    /// Lines in front of the records: skipped ones and the header.
    pub lead: usize,
    /// Records and lead lines whose end was found.
    pub seen: usize,
    quoted: bool,
    blank: bool,
    /// Position in the current step.
    at: usize,
}

impl RecordEnds {
    /// At the beginning of a file.
    pub fn new(format: &Format) -> RecordEnds {
        let (quote, lead) = match format {
            Format::Csv { quote, header, skip_lines, .. } => {
                (Some(*quote), *skip_lines as usize + usize::from(*header))
            }
            Format::JsonLines | Format::Raw(_) => (None, 0),
        };
        RecordEnds { quote, lead, seen: 0, quoted: false, blank: true, at: 0 }
    }

    /// End of the next record in this step, behind its line feed; `None` when the step holds no more, and the next
    /// call begins another step.
    pub fn next(&mut self, step: &[u8]) -> Option<usize> {
        while let Some(byte) = step.get(self.at) {
            self.at += 1;
            if Some(*byte) == self.quote {
                self.quoted = !self.quoted;
            }
            if *byte == b'\n' && !self.quoted {
                // A skipped line counts even when it is blank.
                if !self.blank || self.seen < self.lead {
                    self.seen += 1;
                    self.blank = true;
                    return Some(self.at);
                }
            } else if *byte != b'\r' {
                self.blank = false;
            }
        }
        self.at = 0;
        None
    }
}
