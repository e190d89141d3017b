"""An app that cannot be imported."""

import a_module_that_nobody_has

application = a_module_that_nobody_has.application
