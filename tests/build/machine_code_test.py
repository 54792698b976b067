"""machine_code.py finds the loops and turns of a small kernel that has all that real kernels have."""

import textwrap
import unittest

import machine_code

AROUND = '\t//## File "/onepass/include/onepass/rule/around.hpp", line 7\n'
KERNEL = """
    //--------------------- .text.kernel --------------------------
    \t.section\t.text.kernel,"ax",@progbits
    kernel:
            /*0000*/                   LDC R1, c[0x0][0x28] ;
    .L_x_0:
            /*0010*/                   ISETP.NE.AND P3, PT, R17, 0x4, PT ;
            /*0020*/                   BSSY B1, `(.L_x_3) ;
            /*0030*/              @!P3 BRA `(.L_x_1) ;
            /*0040*/                   LDG.E R24, desc[UR10][R68.64] ;
            /*0050*/               @P1 LDG.E R26, desc[UR10][R68.64+0x8] ;
            /*0060*/                   BRA `(.L_x_2) ;
    .L_x_1:
            /*0070*/                   LDG.E.128 R24, desc[UR10][R68.64] ;
    .L_x_2:
            /*0080*/                   BSYNC B1 ;
    .L_x_3:
    AROUND
            /*0090*/                   FFMA R0, R4, R5, RZ ;
            /*00a0*/               @P0 BRA `(.L_x_4) ;
            /*00b0*/                   CALL.REL.NOINC `($slowpath) ;
    .L_x_4:
            /*00c0*/              @!P0 BRA P2, `(.L_x_5) ;
            /*00d0*/                   IMAD.WIDE.U32 R2, R3, -0x2daee0ad, RZ ;
    .L_x_5:
            /*00e0*/                   STG.E.64 desc[UR10][R68.64], R24 ;
            /*00f0*/                   STG.E.U16 desc[UR10][R70.64], R26 ;
            /*0100*/               @P4 BRA `(.L_x_0) ;
            /*0110*/                   EXIT ;
    $slowpath:
            /*0120*/                   RET.REL.NODEC R2 `(kernel) ;
    .L_x_6:
            /*0130*/                   BRA `(.L_x_6);
"""


def read(text):
    return machine_code.parse(textwrap.dedent(text).replace("AROUND\n", AROUND))["kernel"]


class MachineCode(unittest.TestCase):
    def test_the_loop_is_found_and_recognised_as_moving_parameters(self):
        (header, body), = machine_code.loops_of(read(KERNEL))
        self.assertEqual(header.label, ".L_x_0")
        self.assertTrue(machine_code.moves_parameters(body))
        (header, body), = machine_code.loops_of(read(KERNEL.replace("AROUND\n", "")))
        self.assertFalse(machine_code.moves_parameters(body))

    def test_turns_are_distinguished_by_accesses_and_draws(self):
        (header, body), = machine_code.loops_of(read(KERNEL))
        turns = {(turn.accesses.loads16, turn.draws): turn for turn in machine_code.turns_of(header, body)}
        self.assertEqual(len(turns), 4)
        self.assertEqual({key: turn.length for key, turn in turns.items()},
                         {(1, False): 11, (1, True): 12, (0, False): 13, (0, True): 14})
        whole = turns[1, False]
        self.assertEqual(whole.accesses, machine_code.Accesses(loads16=1, stores8=1, stores_narrow=1))
        self.assertEqual(whole.half_rate, 1)
        self.assertEqual(turns[0, False].accesses.loads_narrow, 2)

    def test_a_predicate_and_its_opposite_give_two_ways(self):
        either = """@P5 LDG.E.128 R24, desc[UR10][R68.64] ;
            /*0078*/              @!P5 LDG.E.64 R24, desc[UR10][R70.64] ;"""
        text = KERNEL.replace("  LDG.E.128 R24, desc[UR10][R68.64] ;", either)
        (header, body), = machine_code.loops_of(read(text))
        loads = {turn.accesses[:2] for turn in machine_code.turns_of(header, body)}
        self.assertEqual(loads, {(1, 0), (0, 1), (0, 0)})

    def test_blocks_with_calls_are_left_out(self):
        (header, body), = machine_code.loops_of(read(KERNEL.replace("BRA `(.L_x_4)", "FADD R0, R0, R1")))
        self.assertEqual(machine_code.turns_of(header, body), [])


if __name__ == "__main__":
    unittest.main()
