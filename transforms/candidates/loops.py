"""The loops of retrieval that no library does at once, compiled: walks through neighbours, the best k, products at pairs.

A score of a sparse source is a sum over a listener's history, score(u, i) = sum_j w_uj m_ji. As a product of matrices all
of it is computed, sorted into rows and stored, of which a few hundred places are read. Here one listener's sum is laid out
over the catalog, read where it is wanted (the k best, or given tracks) and wiped again: memory is one row, whatever the block,
and terms are added in the order of the product's, so that sums are equal to the last bit.

All arrays are those of `scipy.sparse.csr_matrix`, no entry negative; `n` is the number of tracks.

    >>> weights, matrix = sparse.csr_matrix(np.float32([[0, 2]])), sparse.csr_matrix(np.float32([[0, 0], [0, 3]]))
    >>> product_at(*parts(weights), *parts(matrix), 2, np.int64([0, 1]), np.int32([1])).tolist()
    [6.0]
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from transforms.common.best import best_first, keep
from transforms.common.compiled import compiled


def parts(matrix: sparse.csr_matrix) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """indptr, indices, data as the loops take them: as they are, where entries are float32."""
    return matrix.indptr, matrix.indices, np.asarray(matrix.data, np.float32)


@compiled
def product_top(
    w_indptr: np.ndarray,
    w_indices: np.ndarray,
    w_data: np.ndarray,
    m_indptr: np.ndarray,
    m_indices: np.ndarray,
    m_data: np.ndarray,
    n: int,
    x_indptr: np.ndarray,
    x_indices: np.ndarray,
    k: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The k best positive sums of each row of weights @ matrix, without the places of the third matrix and column 0.

    Returns:
        items int32 [B, k] and scores float32 [B, k], best first, equals by item; counts int64 [B].
    """
    size = len(w_indptr) - 1
    items, scores = np.zeros((size, k), np.int32), np.zeros((size, k), np.float32)
    counts = np.zeros(size, np.int64)
    total, touched = np.zeros(n, np.float32), np.empty(n, np.int32)
    for row in range(size):
        many = 0
        for at in range(w_indptr[row], w_indptr[row + 1]):
            track, weight = w_indices[at], w_data[at]
            for place in range(m_indptr[track], m_indptr[track + 1]):
                item, term = m_indices[place], weight * m_data[place]
                if total[item] == 0 and term > 0:
                    touched[many] = item
                    many += 1
                total[item] += term
        total[0] = 0
        for at in range(x_indptr[row], x_indptr[row + 1]):
            total[x_indices[at]] = 0
        found = 0
        for at in range(many):
            item = touched[at]
            score = total[item]
            total[item] = 0
            if score > 0:
                found = keep(scores[row], items[row], found, k, score, item)
        best_first(scores[row], items[row], found)
        counts[row] = found
    return items, scores, counts


@compiled
def product_at(
    w_indptr: np.ndarray,
    w_indices: np.ndarray,
    w_data: np.ndarray,
    m_indptr: np.ndarray,
    m_indices: np.ndarray,
    m_data: np.ndarray,
    n: int,
    bounds: np.ndarray,
    items: np.ndarray,
    power: int = 1,
) -> np.ndarray:
    """float32 sums of weights @ matrix at pairs: the distinct items of row r stand at bounds[r] .. bounds[r + 1].

    `power` 4 takes the matrix's entries to the fourth power. Only wanted items have a place to be summed in, and all places
    of a listener stay in the cache.
    """
    out, slot = np.zeros(len(items), np.float32), np.full(n, -1, np.int32)
    for row in range(len(w_indptr) - 1):
        first, stop = bounds[row], bounds[row + 1]
        if first == stop:
            continue
        for at in range(first, stop):
            slot[items[at]] = at
        for at in range(w_indptr[row], w_indptr[row + 1]):
            track, weight = w_indices[at], w_data[at]
            for place in range(m_indptr[track], m_indptr[track + 1]):
                where = slot[m_indices[place]]
                if where >= 0:
                    value = m_data[place]
                    if power == 4:
                        value = (value * value) * (value * value)
                    out[where] += weight * value
        for at in range(first, stop):
            slot[items[at]] = -1
    return out


@compiled
def closest_at(
    w_indptr: np.ndarray,
    w_indices: np.ndarray,
    w_data: np.ndarray,
    v_indptr: np.ndarray,
    v_indices: np.ndarray,
    v_data: np.ndarray,
    features: int,
    rows: np.ndarray,
    items: np.ndarray,
) -> np.ndarray:
    """int32 by pair (row, item): of the row's tracks j the one whose weight_j * (vector_j . vector_item) is largest, the first
    of equals; 0 where none is above 0. Vectors are rows of v, of so many features, entries of a row ascending."""
    out, here = np.zeros(len(items), np.int32), np.zeros(features, np.float32)
    for pair in range(len(items)):
        first, stop = v_indptr[items[pair]], v_indptr[items[pair] + 1]
        for place in range(first, stop):
            here[v_indices[place]] = v_data[place]
        best = np.float32(0.0)
        for at in range(w_indptr[rows[pair]], w_indptr[rows[pair] + 1]):
            track, like = w_indices[at], np.float32(0.0)
            for place in range(v_indptr[track], v_indptr[track + 1]):
                like += v_data[place] * here[v_indices[place]]
            like *= w_data[at]
            if like > best:
                best, out[pair] = like, track
        for place in range(first, stop):
            here[v_indices[place]] = 0.0
    return out


@compiled
def products_at(
    w_indptr: np.ndarray,
    w_indices: np.ndarray,
    w_data: np.ndarray,
    m_indptr: np.ndarray,
    m_indices: np.ndarray,
    m_data: np.ndarray,
    n: int,
    bounds: np.ndarray,
    items: np.ndarray,
    powers: np.ndarray,
) -> np.ndarray:
    """As `product_at`, of several weights of the same entries in one walk: float32 [m, W].

    Args:
        w_data: float32 [entries, W].
        powers: int64 [W], 1 or 4: of the matrix's entries, for each weight.
    """
    width = w_data.shape[1]
    out, slot = np.zeros((len(items), width), np.float32), np.full(n, -1, np.int32)
    for row in range(len(w_indptr) - 1):
        first, stop = bounds[row], bounds[row + 1]
        if first == stop:
            continue
        for at in range(first, stop):
            slot[items[at]] = at
        for at in range(w_indptr[row], w_indptr[row + 1]):
            track = w_indices[at]
            for place in range(m_indptr[track], m_indptr[track + 1]):
                where = slot[m_indices[place]]
                if where >= 0:
                    value = m_data[place]
                    fourth = (value * value) * (value * value)
                    for w in range(width):
                        out[where, w] += w_data[at, w] * (fourth if powers[w] == 4 else value)
        for at in range(first, stop):
            slot[items[at]] = -1
    return out


@compiled
def stored_top(
    indptr: np.ndarray,
    indices: np.ndarray,
    data: np.ndarray,
    n: int,
    x_indptr: np.ndarray,
    x_indices: np.ndarray,
    k: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The k best positive entries of each row, without the places of the second matrix and column 0.

    Returns:
        items int32 and scores (as `data`), one after the other, best first, equals by item; counts int64 [B].
    """
    size = len(indptr) - 1
    room = 0
    for row in range(size):
        room += min(k, indptr[row + 1] - indptr[row])
    items, scores = np.empty(room, np.int32), np.empty(room, data.dtype)
    counts, hidden = np.zeros(size, np.int64), np.zeros(n, np.bool_)
    start = 0
    for row in range(size):
        for at in range(x_indptr[row], x_indptr[row + 1]):
            hidden[x_indices[at]] = True
        found = 0
        for at in range(indptr[row], indptr[row + 1]):
            item, score = indices[at], data[at]
            if score > 0 and item > 0 and not hidden[item]:
                found = keep(scores[start:], items[start:], found, k, score, item)
        for at in range(x_indptr[row], x_indptr[row + 1]):
            hidden[x_indices[at]] = False
        best_first(scores[start:], items[start:], found)
        counts[row] = found
        start += found
    return items[:start], scores[:start], counts


@compiled
def stored_at(
    indptr: np.ndarray, indices: np.ndarray, data: np.ndarray, n: int, bounds: np.ndarray, items: np.ndarray
) -> np.ndarray:
    """As `product_at`, of what a matrix stores."""
    out, laid = np.zeros(len(items), np.float32), np.zeros(n, np.float32)
    for row in range(len(indptr) - 1):
        for at in range(indptr[row], indptr[row + 1]):
            laid[indices[at]] = data[at]
        for at in range(bounds[row], bounds[row + 1]):
            out[at] = laid[items[at]]
        for at in range(indptr[row], indptr[row + 1]):
            laid[indices[at]] = 0
    return out


@compiled
def dots_at(queries: np.ndarray, vectors: np.ndarray, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
    """float32 [m]: queries[rows] . vectors[items], in eight sums a pair, which a processor adds at once."""
    d = queries.shape[1]
    out, whole = np.empty(len(rows), np.float32), d - d % 8
    for at in range(len(rows)):
        a, b = queries[rows[at]], vectors[items[at]]
        s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = np.float32(0)
        for i in range(0, whole, 8):
            s0 += a[i] * b[i]
            s1 += a[i + 1] * b[i + 1]
            s2 += a[i + 2] * b[i + 2]
            s3 += a[i + 3] * b[i + 3]
            s4 += a[i + 4] * b[i + 4]
            s5 += a[i + 5] * b[i + 5]
            s6 += a[i + 6] * b[i + 6]
            s7 += a[i + 7] * b[i + 7]
        total = ((s0 + s4) + (s2 + s6)) + ((s1 + s5) + (s3 + s7))
        for i in range(whole, d):
            total += a[i] * b[i]
        out[at] = total
    return out


@compiled
def links_at(
    w_indptr: np.ndarray,
    w_indices: np.ndarray,
    w_data: np.ndarray,
    t_indptr: np.ndarray,
    t_indices: np.ndarray,
    t_data: np.ndarray,
    n: int,
    order: np.ndarray,
    bounds: np.ndarray,
    items: np.ndarray,
) -> np.ndarray:
    """int32 [m]: of each pair the j with the largest w_row,j * t_item,j > 0, the smaller of equals; 0 without one.

    The pairs of row r are order[bounds[r] : bounds[r + 1]].
    """
    out, weight = np.zeros(len(items), np.int32), np.zeros(n, np.float32)
    for row in range(len(w_indptr) - 1):
        if bounds[row] == bounds[row + 1]:
            continue
        for at in range(w_indptr[row], w_indptr[row + 1]):
            weight[w_indices[at]] = w_data[at]
        for pair in order[bounds[row] : bounds[row + 1]]:
            best, link = np.float32(0), 0
            for at in range(t_indptr[items[pair]], t_indptr[items[pair] + 1]):
                share, j = weight[t_indices[at]] * t_data[at], t_indices[at]
                if share > best or (share == best and share > 0 and j < link):
                    best, link = share, j
            out[pair] = link
        for at in range(w_indptr[row], w_indptr[row + 1]):
            weight[w_indices[at]] = 0
    return out


@compiled
def places_of(f_bounds: np.ndarray, f_items: np.ndarray, bounds: np.ndarray, items: np.ndarray, n: int) -> np.ndarray:
    """int64 [m]: where each found pair stands among pairs whose row r is bounds[r] .. bounds[r + 1], all of them there."""
    out, place = np.empty(len(f_items), np.int64), np.zeros(n, np.int64)
    for row in range(len(f_bounds) - 1):
        for at in range(bounds[row], bounds[row + 1]):
            place[items[at]] = at
        for at in range(f_bounds[row], f_bounds[row + 1]):
            out[at] = place[f_items[at]]
    return out


@compiled
def standardised(values: np.ndarray, groups: np.ndarray, count: int) -> np.ndarray:
    """float32 [m]: (x - mean) / deviation within each of `count` groups, 0 where a group is constant; sums in float64."""
    members, total = np.zeros(count, np.int64), np.zeros(count, np.float64)
    for at in range(len(values)):
        members[groups[at]] += 1
        total[groups[at]] += values[at]
    mean, squares = np.zeros(count, np.float64), np.zeros(count, np.float64)
    for group in range(count):
        mean[group] = total[group] / max(members[group], 1)
    for at in range(len(values)):
        centred = values[at] - mean[groups[at]]
        squares[groups[at]] += centred * centred
    for group in range(count):
        squares[group] = np.sqrt(squares[group] / max(members[group], 1))
    out = np.zeros(len(values), np.float32)
    for at in range(len(values)):
        deviation = squares[groups[at]]
        if deviation > 1e-9:
            out[at] = (values[at] - mean[groups[at]]) / deviation
    return out
