//! What tells the rows of a join of tables apart.
//!
//! A table that meets at most one row for each of the other's (its key is among the join's) adds nothing to the other's
//! identity: a foreign key leads to one row. So a join on both keys is identified by that key, of whichever side has it in
//! all rows; where neither has (FULL), it is the COALESCE of both. A foreign-key join is identified as the table that refers,
//! a join of many with many by the keys of both. Where a side has no key, that of the other is taken.
//!
//! The rows of one identity come from several shards where the join's key is no part of it, and several may live at a time
//! where it is not proven to be one: those are `scattered`, and a Materialize by the key stands behind them.

use super::Binder;
use super::joined::{Joined, Level, origin_in};
use super::query::{Items, Output};
use super::scope::Rel;
use crate::plan::{Expr, ExprKind, JoinKind, NodeKind, Side};

/// A column of a part: the part, and the place in its node's rows.
type Atom = (usize, usize);

/// Columns that identify the rows of a changing relation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Identity {
    /// Places in the rows of its node.
    pub columns: Vec<usize>,
    /// Numbers of such columns of which the first value that is not NULL counts.
    pub merged: Vec<Vec<usize>>,
    /// They are those of joined tables.
    pub joined: bool,
    /// Rows that they do not tell apart may live on several shards, or several at a time.
    pub scattered: bool,
}

/// One column of the key of a joined relation.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    /// Columns that have its value in every row.
    whole: Vec<Atom>,
    /// Those that have it in every row where they are not NULL, which together they are in none.
    any: Vec<Atom>,
}

/// The key of a relation that was joined so far.
#[derive(Clone, Debug, Default)]
struct Key {
    /// None: nothing tells its rows apart.
    parts: Vec<Part>,
    scattered: bool,
}

/// An equality between the sides: columns whose COALESCE is the left one, the right one.
type Equality = (Vec<Atom>, Option<Atom>);

impl Part {
    fn of(atom: Atom) -> Part {
        Part { whole: vec![atom], any: vec![atom] }
    }

    /// TRUE when the COALESCE of these columns is this one in every row.
    fn is(&self, columns: &[Atom]) -> bool {
        let within = !columns.is_empty() && columns.iter().all(|atom| self.any.contains(atom));
        within && (columns.iter().any(|a| self.whole.contains(a)) || self.any.iter().all(|a| columns.contains(a)))
    }
}

impl Key {
    fn is_covered<'e>(&self, mut by: impl Iterator<Item = Vec<Atom>> + Clone + 'e) -> bool {
        !self.parts.is_empty()
            && self.parts.iter().all(|part| by.clone().any(|columns| part.is(&columns)))
            && by.next().is_some()
    }
}

/// The key of a join of this kind; `all_match`: rows whose keys are equal do match.
fn joined(left: Key, right: Key, kind: JoinKind, on: &[Equality], all_match: bool, nullable: bool) -> Key {
    let one_left = left.is_covered(on.iter().map(|(columns, _)| columns.clone()));
    let one_right = right.is_covered(on.iter().filter_map(|(_, atom)| atom.map(|atom| vec![atom])));
    let mut scattered = left.scattered || right.scattered;
    let both = || left.parts.iter().chain(&right.parts).cloned().collect::<Vec<Part>>();
    let parts = match kind {
        _ if left.parts.is_empty() || right.parts.is_empty() => {
            scattered = true;
            both()
        }
        JoinKind::Inner | JoinKind::Left if one_right => extended(&left.parts, on, Side::Left, kind == JoinKind::Inner),
        JoinKind::Inner | JoinKind::Right if one_left => {
            extended(&right.parts, on, Side::Right, kind == JoinKind::Inner)
        }
        JoinKind::Full if one_left && one_right => {
            // Two rows of one key that do not match are one row each.
            scattered |= !all_match || nullable;
            let mut parts = extended(&left.parts, on, Side::Left, false);
            parts.iter_mut().for_each(|part| part.whole.clear());
            parts
        }
        _ => both(),
    };
    // Rows are where their join key is: that has to follow from what identifies them. Of a row without a partner only its
    // own side has it.
    let follows = |(columns, atom): &Equality| {
        let left = parts.iter().any(|part| columns.iter().any(|column| part.any.contains(column)));
        let right = parts.iter().any(|part| atom.is_some_and(|atom| part.any.contains(&atom)));
        let own = |side: Side| if side == Side::Left { left } else { right };
        (left || right) && [Side::Left, Side::Right].into_iter().all(|side| !kind.keeps(side) || own(side))
    };
    scattered |= !on.iter().all(follows);
    Key { parts, scattered }
}

/// The key of one side, each column with those of the other side that equal it: in every row, or only where they are.
fn extended(parts: &[Part], on: &[Equality], side: Side, whole: bool) -> Vec<Part> {
    let mut parts = parts.to_vec();
    for (columns, atom) in on {
        let right: Vec<Atom> = atom.iter().copied().collect();
        let (own, other) = if side == Side::Left { (columns, &right) } else { (&right, columns) };
        for part in parts.iter_mut().filter(|part| part.is(own)) {
            part.any.extend(other);
            if whole && other.len() == 1 {
                part.whole.extend(other);
            }
        }
    }
    parts
}

impl Binder<'_> {
    /// What identifies the rows of a changing relation; of several columns that would do, those that `items` select.
    pub(super) fn identity(&mut self, rel: &Rel, items: Option<&Items>) -> Identity {
        if !rel.changelog {
            return Identity::default();
        }
        let Some(joined) = &rel.joined else {
            return self.outputs.get(&rel.name).map(Output::identity).unwrap_or_default();
        };
        let Key { parts, scattered } = self.joined_key(joined);
        let mut identity = Identity { scattered, joined: true, ..Identity::default() };
        for part in parts {
            let chosen = items.and_then(|items| self.selected_columns(&part, joined, items));
            let atoms = chosen.unwrap_or_else(|| match part.whole.first() {
                Some(first) => vec![*first],
                None => part.any.clone(),
            });
            if atoms.len() > 1 {
                identity.merged.push((identity.columns.len()..identity.columns.len() + atoms.len()).collect());
            }
            for (at, column) in atoms {
                let place = joined.parts[at].first + column;
                if let ExprKind::Column(position) = self.joined_column(joined, place, Default::default()).kind {
                    identity.columns.push(position);
                }
            }
        }
        if !identity.columns.is_empty() {
            // Of several rows made of one, each has its number.
            let numbers = (0..joined.levels.len()).filter_map(|at| self.graph.number_of(&joined.levels, at));
            identity.columns.extend(numbers.collect::<Vec<_>>());
        }
        identity
    }

    /// The columns by which an item selects this part of the key.
    fn selected_columns(&self, part: &Part, joined: &Joined, items: &Items) -> Option<Vec<Atom>> {
        let of = |expr: &Expr| self.atoms(expr, &joined.levels);
        items.exprs.iter().map(of).find(|atoms| part.is(atoms))
    }

    /// The columns whose COALESCE an expression over the rows of these joins is; none where it is something else.
    fn atoms(&self, expr: &Expr, levels: &[Level]) -> Vec<Atom> {
        let atom = |expr: &Expr| match expr.kind {
            ExprKind::Column(position) if levels.is_empty() => Some((0, position)),
            ExprKind::Column(position) => match origin_in(levels, &self.graph, position)? {
                (part, Expr { kind: ExprKind::Column(column), .. }) => Some((part, *column)),
                _ => None,
            },
            _ => None,
        };
        let all = match &expr.kind {
            ExprKind::Coalesce(list) => list.iter().map(atom).collect::<Option<Vec<Atom>>>(),
            _ => atom(expr).map(|atom| vec![atom]),
        };
        all.unwrap_or_default()
    }

    fn joined_key(&self, joined: &Joined) -> Key {
        let mut key = self.part_identity(joined, 0);
        for (n, level) in joined.levels.iter().enumerate() {
            let NodeKind::Join(spec) = &self.graph.nodes[level.join].kind else { continue };
            let exprs = |project: usize| match &self.graph.nodes[project].kind {
                NodeKind::Project { exprs, .. } => exprs.as_slice(),
                _ => &[],
            };
            let (lefts, rights) = (exprs(level.left), exprs(level.right));
            let left = |at: usize| lefts.get(at).map(|expr| self.atoms(expr, &joined.levels[..n])).unwrap_or_default();
            let right = |at: usize| match rights.get(at)?.kind {
                ExprKind::Column(column) => Some((n + 1, column)),
                _ => None,
            };
            let on: Vec<Equality> =
                spec.left_keys.iter().zip(&spec.right_keys).map(|(l, r)| (left(*l), right(*r))).collect();
            let other = self.part_identity(joined, n + 1);
            let parts = key.parts.iter().chain(&other.parts);
            let nullable = parts.flat_map(|part| &part.any).any(|(part, column)| {
                let schema = &joined.parts[*part].rel.schema;
                schema.fields.get(*column).is_none_or(|field| field.nullable)
            });
            key = self::joined(key, other, level.kind, &on, spec.residual.is_none(), nullable);
        }
        key
    }

    fn part_identity(&self, joined: &Joined, part: usize) -> Key {
        let Some(output) = self.outputs.get(&joined.parts[part].rel.name) else { return Key::default() };
        let parts = output.key.iter().map(|column| Part::of((part, *column))).collect();
        Key { parts, scattered: output.scattered }
    }
}

impl Output {
    /// What identifies its rows.
    fn identity(&self) -> Identity {
        Identity { columns: self.key.clone(), scattered: self.scattered, ..Identity::default() }
    }
}

impl Identity {
    /// TRUE when an expression over the same rows has the value of column number `at`.
    pub(super) fn is(&self, at: usize, expr: &Expr) -> bool {
        let column = |at: usize| ExprKind::Column(self.columns[at]);
        let merged = self.merged.iter().find(|group| group.contains(&at));
        match (&expr.kind, merged) {
            (ExprKind::Coalesce(list), Some(group)) => {
                let within = |wanted: &usize| list.iter().any(|e| e.kind == column(*wanted));
                list.len() == group.len() && group.iter().all(within)
            }
            (kind, _) => *kind == column(at),
        }
    }
}
