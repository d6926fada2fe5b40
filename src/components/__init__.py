"""Parts that learners, controllers and runners share: batches, buffers, schedules, returns."""
