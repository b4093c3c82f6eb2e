//! The zone tables as Python hands them over, once.

use std::sync::Arc;

use numpy::PyReadonlyArray1;
use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;

use crate::permission::Permission;
use crate::zones;

#[pyclass(frozen, module = "engine._core")]
pub struct Zones(pub(super) Arc<zones::Zones>);

#[pymethods]
impl Zones {
    #[new]
    fn new(
        begins: PyReadonlyArray1<'_, i64>,
        offsets: PyReadonlyArray1<'_, i32>,
        starts: PyReadonlyArray1<'_, i32>,
    ) -> PyResult<Self> {
        zones::Zones::new(begins.as_slice()?.to_vec(), offsets.as_slice()?.to_vec(), starts.as_slice()?.to_vec())
            .map(|zones| Zones(Arc::new(zones)))
            .ok_or_else(|| PyValueError::new_err("the zone tables do not fit each other"))
    }

    #[pyo3(signature = (zone, instant, window, quiet, ends_at))]
    fn first_permitted(
        &self,
        zone: u16,
        instant: i64,
        window: (u16, u16),
        quiet: (u16, u16),
        ends_at: Option<i64>,
    ) -> PyResult<Option<i64>> {
        if usize::from(zone) >= self.0.count() {
            return Err(PyIndexError::new_err("there is no such zone"));
        }
        Ok(Permission { ends_at, window, quiet }.first_from(self.0.clock(zone), instant))
    }
}
