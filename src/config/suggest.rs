//! Finds what was probably meant by a word that is nearly right.

/// Offers the candidate nearest to `word`, if one is near: one slip is forgiven for every three letters.
pub(crate) fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let word = word.to_lowercase();
    let slips = (word.chars().count() / 3).max(1);
    let distances =
        candidates.into_iter().map(|candidate| (strsim::osa_distance(&word, candidate), candidate));
    let (_, nearest) = distances.filter(|&(distance, _)| distance <= slips).min()?;
    Some(format!("did you mean `{nearest}`?"))
}
