"""The words views use for what lies below the session: types only to be named, passed on and read. No behaviour."""

from __future__ import annotations

from app.recipes.availability import Availability, SoftwareState
from app.recipes.catalogue import shipped_recipes
from app.recipes.fault_words import fault_parameter, fault_parameters
from app.recipes.needs import lacking, needed
from app.recipes.parameters import number_text, problem, text_of, value_of
from app.recipes.recipe import Parameter, ParameterType, Recipe
from app.recipes.selections import beyond_the_inputs
from app.recipes.usage import unused
from app.remote.analyses.refill import fitting_parameters
from app.remote.analyses.site_recipes import RecipeFault
from app.remote.conversation import Conversation
from app.remote.jobs.draft import Draft
from app.remote.jobs.service import JobService
from app.remote.jobs.steps import ResolvedStep
from app.remote.seams import DataService, DeviceCode

__all__ = ["Availability", "Conversation", "DataService", "DeviceCode", "Draft", "JobService", "Parameter",
           "ParameterType", "Recipe", "RecipeFault", "ResolvedStep", "SoftwareState", "beyond_the_inputs",
           "fault_parameter", "fault_parameters", "fitting_parameters", "lacking", "needed", "number_text",
           "problem", "shipped_recipes", "text_of", "unused", "value_of"]
