// ---------------------------------------------------------------------------------------------------------------------
// The form: a table's columns, from which the network's inputs are made as they were in training
//
// A numeric column is one input, (number − offset) / factor; a categorical one has an input for each of its values, 1 at its own.
// ---------------------------------------------------------------------------------------------------------------------

class Form {
  constructor(form, columns, changed) {
    this.columns = columns;
    this.fields = columns.map((column, i) => {
      const id = `column-${i}`;
      const label = element("label", { htmlFor: id, textContent: column.name });
      const field = element("div", { className: "field" }, label);
      const input = column.values ? this.#choice(column, id) : this.#number(column, id, field);
      label.after(input);
      form.append(field);
      return input;
    });
    form.oninput = () => changed();
    form.onsubmit = (event) => event.preventDefault();
    form.hidden = false;
  }

  #choice({ values }, id) {
    return element("select", { id }, ...values.map((value, i) => element("option", { value: i, textContent: value })));
  }

  #number({ name, minimum, maximum, start }, id, field) {
    const input = element("input", { id, type: "number", step: "any", value: +start.toPrecision(4) });
    const [low, high] = [Math.min(minimum, start), Math.max(maximum, start)];
    const slider = element("input", { type: "range", min: low, max: high, step: (high - low) / 200 || 1, value: start });
    slider.setAttribute("aria-label", `${name}, from ${brief(low)} to ${brief(high)}`);
    slider.title = `in training from ${brief(low)} to ${brief(high)}`;
    slider.oninput = () => (input.value = +Number(slider.value).toPrecision(4));
    input.oninput = () => (slider.value = input.value);
    field.append(slider);
    return input;
  }

  /** The network's inputs; null while a field holds no number. */
  get x() {
    const x = [];
    for (const [i, { values, offset, factor }] of this.columns.entries()) {
      const { value } = this.fields[i];
      if (values) x.push(...values.map((_, k) => (k === Number(value) ? 1 : 0)));
      else if (value === "" || !Number.isFinite(Number(value))) return null;
      else x.push((Number(value) - offset) / factor);
    }
    return x;
  }

  /** Fills the form in from the network's inputs. */
  set x(x) {
    let at = 0;
    this.columns.forEach(({ values, offset, factor }, i) => {
      if (values) {
        this.fields[i].value = x.slice(at, at + values.length).indexOf(Math.max(...x.slice(at, at + values.length)));
      } else {
        this.fields[i].value = +(x[at] * factor + offset).toPrecision(6);
        this.fields[i].oninput();
      }
      at += values ? values.length : 1;
    });
  }

  /** What each of the network's inputs is called. */
  get names() {
    return this.columns.flatMap(({ name, values }) => (values ? values.map((value) => `${name} = ${value}`) : [name]));
  }
}
