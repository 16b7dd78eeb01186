//! How lines of the ledger lie in log records and rows.

use super::Entry;
use crate::Error;
use crate::chunk::{Reader, put_varint, zigzag};
use model::Account;

/// After the points of a log record; nothing at all when there is no line.
pub(crate) fn encode(entries: &[Entry], out: &mut Vec<u8>) {
    put_varint(out, entries.len() as u64);
    for entry in entries {
        put_varint(out, zigzag(i64::from(entry.day)));
        put_varint(out, u64::from(entry.device));
        for count in [entry.accepted, entry.duplicates, entry.revised] {
            put_varint(out, u64::from(count));
        }
        put_varint(out, zigzag(i64::from(entry.received)));
        put_varint(out, zigzag(i64::from(entry.quarantined)));
    }
}

/// # Errors
/// [`Error::Damaged`] when the bytes are no lines.
pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Vec<Entry>, Error> {
    let damaged = || Error::Damaged { what: "a log record: the ledger's part".into() };
    let count = reader.length()?;
    let mut entries = Vec::with_capacity(count.min(1024));
    for _ in 0..count {
        let day = i32::try_from(reader.zigzag()?).map_err(|_| damaged())?;
        let mut next = || u32::try_from(reader.varint()?).map_err(|_| damaged());
        let (device, accepted, duplicates, revised) = (next()?, next()?, next()?, next()?);
        let mut signed = || i32::try_from(reader.zigzag()?).map_err(|_| damaged());
        let (received, quarantined) = (signed()?, signed()?);
        entries.push(Entry { day, device, received, accepted, duplicates, revised, quarantined });
    }
    Ok(entries)
}

pub(super) fn account_bytes(account: &Account) -> Vec<u8> {
    let counts = [account.received, account.accepted, account.duplicates, account.revised, account.quarantined];
    counts.iter().flat_map(|count| count.to_le_bytes()).collect()
}

pub(super) fn account(bytes: &[u8]) -> Option<Account> {
    let mut counts = bytes.chunks_exact(8).filter_map(|chunk| Some(u64::from_le_bytes(*chunk.first_chunk::<8>()?)));
    let mut next = || counts.next();
    Some(Account { received: next()?, accepted: next()?, duplicates: next()?, revised: next()?, quarantined: next()? })
}
